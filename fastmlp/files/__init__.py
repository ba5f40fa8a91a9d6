"""File formats: atomic writing, safetensors files with a checksum, and values as JSON."""

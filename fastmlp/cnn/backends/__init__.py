"""What differs between the libraries that Keras runs on, one file each, by the same names."""

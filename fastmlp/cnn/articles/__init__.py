"""The articles' functions, callbacks and settings, under the articles' names."""

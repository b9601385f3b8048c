"""The kinds of autoencoder, one file each."""

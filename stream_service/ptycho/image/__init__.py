"""The reconstructed image and its export."""

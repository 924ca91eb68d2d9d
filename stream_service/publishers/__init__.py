"""Status PVs and images for the outside. They keep the latest value only and never slow the file."""

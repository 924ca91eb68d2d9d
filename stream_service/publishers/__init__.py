"""What goes outside: status PVs and images. They keep the latest value only and never slow the file."""

"""`python -m iocsim`."""

from iocsim.cli import main

if __name__ == "__main__":
    main()

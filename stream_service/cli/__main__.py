"""`python -m stream_service.cli`."""

from stream_service.cli.main import main

main()

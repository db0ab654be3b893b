"""`python -m pipeline` is `isthmus`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()

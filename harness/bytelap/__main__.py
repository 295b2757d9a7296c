"""`python -m bytelap` is `bench`."""

from bytelap.cli import main

if __name__ == "__main__":
    main()

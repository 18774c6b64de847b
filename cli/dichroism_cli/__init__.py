"""The one command ``dichroism``; every subcommand lives with the part it belongs to and is imported only when used."""

"""Where it runs: this computer or a server, and the packages that are needed here."""

"""From a bare machine to one that can run the shop: packages, and a private MariaDB."""

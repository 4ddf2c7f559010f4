"""What tests of several commands share."""

from trial import trial  # noqa: F401 - a fixture

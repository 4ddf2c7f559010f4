"""The ground that resources and commands stand on; it knows neither."""

"""The REST API, its OpenAPI document, and the page that shows it."""

"""The seeds as they were told, request by request, against a running server."""

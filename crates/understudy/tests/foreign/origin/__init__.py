"""A backend for the suites: HTTP/1.1, HTTP/2, TLS, WebSocket, PROXY header; `python -m origin`."""

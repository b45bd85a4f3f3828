"""A conformance table of HTTP/2 (RFC 9113) and HPACK (RFC 7541) for the client side of a proxy."""

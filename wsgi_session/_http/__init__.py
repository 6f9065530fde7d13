"""What travels in headers: the cookie, its token and the operator's secret, the response headers."""

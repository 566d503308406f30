"""DashScope's protocol: prepares requests, reads answers. No I/O."""

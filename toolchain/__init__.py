"""Programs in, programs out: formats that read and write them, tools that rewrite them. No network, no global state."""

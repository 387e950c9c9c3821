"""The control socket: Varlink (varlink.org), NUL-terminated JSON over a UNIX socket."""

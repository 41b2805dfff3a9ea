"""The protocol: messages, sessions, tokens and seals without sockets, and one module that imports zmq."""

"""The browsers' front process: HTTP, WebSocket, FHIR, admin port. Holds no world state; never imports the world."""

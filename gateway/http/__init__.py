"""Plain HTTP: error bodies, reading request bodies, middleware, URLs. Imports no other package of the gateway."""

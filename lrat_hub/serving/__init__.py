"""A retriever as a service for many agents at once, by several protocols.

`service` is what every protocol calls; `application` speaks HTTP, and others (MCP) are built on the same service.
"""

DOCUMENT_URL = "docid:{docid}"
"""Address of a document whose id is none itself."""

OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Environment variables of OpenTelemetry that say where spans go."""

SNIPPET_LENGTH = 300
"""Characters of a text that are shown in a list."""

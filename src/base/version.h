/* Name and version as they go over the wire. Leaf. */
#pragma once

#define SHIM_NAME    "otelshim"
#define SHIM_VERSION "0.1.0"

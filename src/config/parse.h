/* Values of variables, as text to numbers and back out of it: the rules of the OpenTelemetry
 * specification (Environment Variable Specification, Parsing). Knows no variable by name. No
 * allocation, no locale. Any thread, async-signal-safe. All return 0, or -EINVAL / -ERANGE. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* "true" in any letter case is true; "false" and "" are false; anything else is -EINVAL. */
int shim_parse_boolean(struct shim_str text, bool *ret_value);

/* Decimal digits, min to max. */
int shim_parse_integer(struct shim_str text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* An integer with an optional suffix: k M G (powers of 1000) or Ki Mi Gi (of 1024), in any letter
 * case, and an optional B behind it. */
int shim_parse_size(struct shim_str text, uint64_t min, uint64_t max, uint64_t *ret_bytes);

/* A decimal number of 0 to 1: "0.25", ".25", "1", "2.5e-1". */
int shim_parse_ratio(struct shim_str text, double *ret_ratio);

/* A list of key=value, comma-separated and percent-encoded: whether each member that is not empty
 * has a key and a `=`, and every % two hexadecimal digits behind it that do not stand for NUL. */
int shim_parse_pairs_check(struct shim_str text);

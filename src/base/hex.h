/* Lower-case hexadecimal, both ways. Leaf. Async-signal-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len digits to `text`, no NUL. */
void shim_hex_encode(char *text, const uint8_t *bytes, size_t len);

/* Reads 2 * len digits; lower case only (W3C Trace Context 3.2.2.3). False: nothing usable written.
 */
bool shim_hex_decode(uint8_t *ret_bytes, const char *text, size_t len);

/* The same, but takes upper case too (B3, Jaeger, X-Ray). */
bool shim_hex_decode_nocase(uint8_t *ret_bytes, const char *text, size_t len);

/* A library that exists in two flavours, as libcurl does, for the tests of src/hook. Not
 * thread-safe. */
#pragma once

struct parrot;

struct parrot *parrot_new(void);
/* "a" or "b": the flavour that runs; "a!b" when the parrot is another flavour's. */
const char *parrot_speak(struct parrot *parrot);
/* Calls parrot_speak through the PLT. */
const char *parrot_repeat(struct parrot *parrot);
void parrot_free(struct parrot *parrot);
/* Not hooked. */
int parrot_version(void);
/* Only in flavour b. */
const char *parrot_sing(struct parrot *parrot);
/* Whether code of that range is on the stack, as an exception would unwind it. */
int parrot_sees(const void *code, unsigned long size);

/* One flavour of the library: -DFLAVOUR='"a"'. Knows nothing of the shim. */
#include "parrot.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parrot {
    const char *flavour;
    char words[16];
};

#ifdef SINGS
const char *parrot_sing(struct parrot *parrot)
{
    (void)parrot;
    return "la";
}
#endif

struct parrot *parrot_new(void)
{
    struct parrot *parrot = calloc(1, sizeof(*parrot));

    if (parrot != NULL)
        parrot->flavour = FLAVOUR;
    return parrot;
}

const char *parrot_speak(struct parrot *parrot)
{
    if (strcmp(parrot->flavour, FLAVOUR) == 0)
        return FLAVOUR;
    snprintf(parrot->words, sizeof(parrot->words), "%s!%s", FLAVOUR, parrot->flavour);
    return parrot->words;
}

const char *parrot_repeat(struct parrot *parrot)
{
    return parrot_speak(parrot);
}

void parrot_free(struct parrot *parrot)
{
    free(parrot);
}

int parrot_version(void)
{
    return FLAVOUR[0];
}

int parrot_sees(const void *code, unsigned long size)
{
    void *frames[64];
    int count = backtrace(frames, 64);

    for (int i = 0; i < count; i++)
        if ((char *)frames[i] - (char *)code >= 0 &&
            (unsigned long)((char *)frames[i] - (char *)code) < size)
            return 1;
    return 0;
}

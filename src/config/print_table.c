/* Prints the README's table of variables, as Markdown, from the one table in config.c. A program
 * for the build and for scripts/check; not part of what is preloaded. */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

static const char own_prefix[] = "OTELSHIM_";

static bool is_own(const struct shim_config_doc *doc)
{
    return strncmp(doc->name, own_prefix, sizeof(own_prefix) - 1) == 0;
}

static void print_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            putchar('\\');
        putchar(*text);
    }
}

static void print_group(const char *title, bool own)
{
    const struct shim_config_doc *doc;
    printf("| %s | type | default | what it does |\n|---|---|---|---|\n", title);
    for (unsigned i = 0; (doc = shim_config_doc(i)); i++) {
        if (is_own(doc) != own)
            continue;
        printf("| `%s` | ", doc->name);
        print_cell(doc->type);
        /* Code where it is a value, prose where it says what is used instead. */
        const char *quote = strchr(doc->default_text, ' ') || !doc->default_text[0] ? "" : "`";
        printf(" | %s", quote);
        print_cell(doc->default_text);
        printf("%s | ", quote);
        print_cell(doc->doc);
        puts(" |");
    }
}

int main(void)
{
    print_group("standard", false);
    putchar('\n');
    print_group("otelshim's own", true);
    return fflush(stdout) == 0 ? 0 : 1;
}

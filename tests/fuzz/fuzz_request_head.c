/* OTEL_EXPORTER_OTLP_HEADERS beside an endpoint: whatever stands in them, no line of the request's
 * head is made or broken by it. */
#include "check.h"

#include "base/url.h"
#include "export/request_head.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines "name: value" only, each ended by CR LF, and no control characters in them. */
static void check_lines(const char *head)
{
    for (const char *line = head; *line;) {
        const char *end = strstr(line, "\r\n");
        CHECK(end != NULL && end > line);
        CHECK(memchr(line, ':', (size_t)(end - line)) != NULL);
        for (const char *c = line; c < end; c++)
            CHECK((unsigned char)*c >= 0x20 || *c == '\t');
        line = end + 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char message[256] = "";
    struct shim_url url;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    /* The endpoint stands in front of the first line feed. */
    char *headers = strchr(text, '\n');
    if (headers) {
        *headers++ = '\0';
        if (shim_url_parse(shim_str(text), &url) == 0) {
            char *head = shim_request_head_new(&url, headers, message);
            if (head)
                check_lines(head);
            free(head);
        }
    }
    free(text);
    return 0;
}

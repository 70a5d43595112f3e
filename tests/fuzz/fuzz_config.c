/* A whole environment, entries separated by NUL; a first byte below 128 stands for the name of that
 * row. What comes out is in range, terminated, and printable where it is for the terminal. */
#include "config/config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 64

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* A malloced entry out of the input. */
static char *make_entry(const uint8_t *data, size_t len)
{
    const struct shim_config_doc *doc = len > 0 ? shim_config_doc(data[0]) : NULL;
    size_t name_len = doc ? strlen(doc->name) + 1 : 0;
    char *entry = malloc(name_len + len + 1);
    if (doc) {
        memcpy(entry, doc->name, name_len - 1);
        entry[name_len - 1] = '=';
        data++;
        len--;
    }
    memcpy(entry + name_len, data, len);
    entry[name_len + len] = '\0';
    return entry;
}

static void check_config(const struct shim_config *c)
{
    const char *const texts[] = {c->service_name,
                                 c->resource_attributes,
                                 c->log_target,
                                 c->otlp_endpoint,
                                 c->otlp_headers,
                                 c->otlp_certificate,
                                 c->otlp_client_key,
                                 c->otlp_client_certificate,
                                 c->http_known_methods,
                                 c->file_path,
                                 c->ignore_urls,
                                 c->redact_query,
                                 c->propagate_to,
                                 c->baggage_to,
                                 c->baggage_attributes,
                                 c->capture_request_headers,
                                 c->capture_response_headers};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check(texts[i] && strlen(texts[i]) < 1 << 20);
    check(c->sampler_ratio >= 0 && c->sampler_ratio <= 1);
    check(c->sampler <= SHIM_SAMPLER_PARENTBASED_TRACEIDRATIO);
    check(c->log_level <= SHIM_LOG_DEBUG);
    check(c->bsp_max_export_batch_size >= 1);
    check(c->bsp_max_queue_size == 0 || c->bsp_max_export_batch_size <= c->bsp_max_queue_size);
    check(c->memory_limit >= 65536 && c->file_max_size >= 4096 && c->file_max_count >= 1);
    check((c->propagators & ~0x3fu) == 0 && (c->exporters & ~7u) == 0 && (c->families & ~3u) == 0);
    check(strncasecmp(c->otlp_endpoint, "http", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *environment[ENTRIES_MAX + 1] = {NULL};
    unsigned count = 0;
    while (size > 0 && count < ENTRIES_MAX) {
        const uint8_t *nul = memchr(data + 1, 0, size - 1);
        size_t len = nul ? (size_t)(nul - data) : size;
        environment[count++] = make_entry(data, len);
        size_t used = nul ? len + 1 : len;
        data += used;
        size -= used;
    }
    shim_config_read(environment);
    /* Nothing may point into what the host frees. */
    for (unsigned i = 0; i < count; i++)
        free(environment[i]);
    check_config(&shim_config);
    const char *warning;
    for (unsigned i = 0; (warning = shim_config_warning(i)); i++) {
        check(strncmp(warning, "OTEL", 4) == 0);
        for (const char *c = warning; *c; c++)
            check(*c >= 0x20 && *c < 0x7f);
    }
    return 0;
}

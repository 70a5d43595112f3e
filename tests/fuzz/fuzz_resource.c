/* What the resource is made of: OTEL_RESOURCE_ATTRIBUTES whole, and the texts of /proc and /etc as
 * some system may write them. What comes out is part of what went in, or text that is valid UTF-8.
 */
#include "check.h"

#include "base/utf8.h"
#include "trace/host_facts.h"
#include "trace/resource.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct shim_str part, struct shim_str whole)
{
    CHECK(part.len > 0 && part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_facts(struct shim_str text)
{
    struct shim_str found;
    uint64_t ticks;
    if (shim_facts_container_of_cgroup(text, &found))
        check_inside(found, text);
    if (shim_facts_container_of_mounts(text, &found))
        check_inside(found, text);
    if (shim_facts_user_name(text, 0, &found))
        check_inside(found, text);
    if (shim_facts_machine_id(text, &found))
        CHECK(found.len == 32);
    shim_facts_start_ticks(text, &ticks);
}

static void check_attributes(const char *attributes)
{
    struct shim_resource resource;
    struct shim_resource_options options = {.service_name = "", .resource_attributes = attributes};
    shim_resource_detect(&resource, &options);
    CHECK(resource.count <= SHIM_RESOURCE_MAX);
    CHECK(shim_resource_get(&resource, "service.name") != NULL);
    for (unsigned i = 0; i < resource.count; i++) {
        CHECK(shim_utf8_is_valid(shim_str(resource.attribute[i].key)));
        if (resource.attribute[i].text)
            CHECK(shim_utf8_is_valid(shim_str(resource.attribute[i].text)));
    }
    shim_resource_fini(&resource);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_facts(shim_str_n(text, size));
    check_attributes(text);
    free(text);
    return 0;
}

/* The decision whether a proxy is to be used, made without libcurl, which is loaded only if so. The
 * one place besides config.c that looks at the environment: these variables are libcurl's, and
 * libcurl reads them itself at each transfer. Knows nothing of connections. Exporter thread only.
 */
#include "export/proxy.h"

#include "base/match.h"

#include <unistd.h>

/* Not getenv, which hosts replace by one of their own (bash does). The value, or NULL if unset or
 * empty. */
static const char *environment_find(const char *name)
{
    size_t len = strlen(name);
    for (char **entry = environ; entry && *entry; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            return (*entry)[len + 1] != '\0' ? *entry + len + 1 : NULL;
    return NULL;
}

static const char *environment_find_either(const char *lower, const char *upper)
{
    const char *value = environment_find(lower);
    return value ? value : environment_find(upper);
}

/* A member of no_proxy: the name itself, or a domain that it ends in, with or without a leading
 * dot. */
static bool is_below(struct shim_str host, struct shim_str domain)
{
    if (domain.len > 0 && domain.ptr[0] == '.') {
        domain.ptr++;
        domain.len--;
    }
    if (domain.len > 0 && domain.ptr[domain.len - 1] == '.')
        domain.len--;
    if (domain.len == 0 || domain.len > host.len)
        return false;
    struct shim_str tail = shim_str_n(host.ptr + host.len - domain.len, domain.len);
    return shim_str_equal_nocase(tail, domain) && (tail.ptr == host.ptr || tail.ptr[-1] == '.');
}

static bool no_proxy_names(const char *list, struct shim_str host)
{
    if (shim_str_equal(shim_str(list), shim_str("*")))
        return true;
    /* Blanks separate as commas do. */
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ", \t");
        struct shim_str member = shim_str_n(at, len);
        bool is_network = memchr(at, '/', len) || memchr(at, ':', len);
        if (len > 0 && (is_network ? shim_host_list_match(member, host) : is_below(host, member)))
            return true;
        at += len;
        at += strspn(at, ", \t");
    }
    return false;
}

static bool is_this_machine(struct shim_str host)
{
    return shim_host_list_match(shim_str("localhost,localhost.,127.0.0.0/8,::1"), host);
}

bool shim_proxy_applies(const struct shim_url *url)
{
    bool https = shim_str_equal_nocase(url->scheme, shim_str("https"));
    /* HTTP_PROXY is what a client's "Proxy:" header becomes in a CGI program. */
    const char *proxy = https ? environment_find_either("https_proxy", "HTTPS_PROXY")
                              : environment_find("http_proxy");
    if (!proxy)
        proxy = environment_find_either("all_proxy", "ALL_PROXY");
    if (!proxy || is_this_machine(url->host))
        return false;
    const char *except = environment_find_either("no_proxy", "NO_PROXY");
    struct shim_str host = url->host;
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    return !except || !no_proxy_names(except, host);
}

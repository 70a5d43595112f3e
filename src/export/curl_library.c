/* How libcurl gets into a host that may have another one, another OpenSSL or another malloc: by
 * dlopen, out of everyone's sight, bound to its own dependencies where that is safe. Knows nothing
 * of transfers. Exporter thread only. */
#include "export/curl_library.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* OPENSSL_INIT_NO_ATEXIT of OpenSSL 3: its handler would tear down what our thread is using at
 * exit. */
#define NO_ATEXIT UINT64_C(0x00080000)

static const char *const NAMES[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

struct symbol {
    const char *name;
    size_t offset;
};

#define SYMBOL(field)                                                                              \
    {                                                                                              \
        "curl_" #field, offsetof(struct shim_curl_library, field)                                  \
    }
static const struct symbol SYMBOLS[] = {
    SYMBOL(global_init),         SYMBOL(easy_init),     SYMBOL(easy_cleanup),
    SYMBOL(easy_setopt),         SYMBOL(easy_getinfo),  SYMBOL(easy_strerror),
    SYMBOL(multi_init),          SYMBOL(multi_cleanup), SYMBOL(multi_add_handle),
    SYMBOL(multi_remove_handle), SYMBOL(multi_perform), SYMBOL(multi_wait),
    SYMBOL(multi_info_read),     SYMBOL(slist_append),  SYMBOL(slist_free_all),
};

/* Whether memory that libc allocates is freed by libc's own free: a deep-bound library calls that
 * one directly, everybody else calls the first malloc in the global scope. */
static bool malloc_is_of_libc(void)
{
    static const char *const names[] = {"malloc", "free", "calloc", "realloc"};
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!libc)
        return false;
    bool same = true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        same = same && dlsym(RTLD_DEFAULT, names[i]) == dlsym(libc, names[i]);
    dlclose(libc);
    return same;
}

/* RTLD_DEEPBIND keeps libcurl away from an OpenSSL or zlib that the program exports itself. */
static int load_flags(void)
{
    int flags = RTLD_NOW | RTLD_LOCAL;
#ifdef RTLD_DEEPBIND
    if (malloc_is_of_libc())
        flags |= RTLD_DEEPBIND;
#endif
    return flags;
}

/* Before libcurl initialises OpenSSL, and only where it is not the host's already. */
static void openssl_keep_out_of_exit(int flags)
{
    int (*init)(uint64_t, const void *);
    void *libcrypto = dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_NOLOAD);
    if (libcrypto) {
        dlclose(libcrypto);
        return;
    }
    libcrypto = dlopen("libcrypto.so.3", flags);
    if (!libcrypto)
        return;
    *(void **)&init = dlsym(libcrypto, "OPENSSL_init_crypto");
    if (init)
        init(NO_ATEXIT, NULL);
}

static bool symbols_find(void *handle, struct shim_curl_library *ret_library)
{
    for (size_t i = 0; i < sizeof(SYMBOLS) / sizeof(SYMBOLS[0]); i++) {
        void *address = dlsym(handle, SYMBOLS[i].name);
        if (!address)
            return false;
        memcpy((char *)ret_library + SYMBOLS[i].offset, &address, sizeof(address));
    }
    return true;
}

static bool load(const char *name, int flags, struct shim_curl_library *ret_library)
{
    void *handle = dlopen(name, flags);
    if (!handle)
        return false;
    if (symbols_find(handle, ret_library) && ret_library->global_init(CURL_GLOBAL_ALL) == CURLE_OK)
        return true;
    dlclose(handle);
    return false;
}

const struct shim_curl_library *shim_curl_library_get(char *ret_message)
{
    /* Never unloaded: the libraries below it do not survive that, and curl_global_cleanup would end
     * what the host may share with us. */
    static struct shim_curl_library library;
    static bool loaded;
    if (loaded)
        return &library;
    int flags = load_flags();
    openssl_keep_out_of_exit(flags);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]) && !loaded; i++)
        loaded = load(NAMES[i], flags, &library);
    if (loaded)
        return &library;
    snprintf(ret_message, 256, "libcurl is needed for https:// and proxies and was not found");
    return NULL;
}

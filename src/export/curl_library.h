/* libcurl, loaded at need: most processes never see it. Exporter thread only. */
#pragma once

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* The functions that transport_curl.c uses. */
struct shim_curl_library {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_wait) multi_wait;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
};

/* Loads and initialises it on first use; it then stays until the process ends. NULL with a line in
 * ret_message (256 bytes) when there is none. */
const struct shim_curl_library *shim_curl_library_get(char *ret_message);

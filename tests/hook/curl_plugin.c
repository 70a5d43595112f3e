/* A plugin that uses whichever libcurl it is linked with, from a function and, when asked to, from
 * its constructor. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static size_t drop(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

__attribute__((visibility("default"))) void plugin_get(const char *url);

void plugin_get(const char *url)
{
    long status = 0;
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    printf("%d %ld\n", (int)code, status);
    curl_easy_cleanup(easy);
}

__attribute__((constructor)) static void load(void)
{
    const char *url = getenv("EARLY_URL");
    if (url)
        plugin_get(url);
}

/* A host that loads plugins which use libcurl, or libcurl itself by dlopen and dlsym.
 * Usage: curl_loader plugin URL [PLUGIN]... | curl_loader dlsym URL [LIBRARY]... */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#undef curl_easy_setopt

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void use_plugin(const char *path, const char *url)
{
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    void (*get)(const char *) = (void (*)(const char *))find(plugin, "plugin_get");
    get(url);
}

static size_t drop(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static void use_library(const char *path, const char *url)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    typeof(&curl_easy_init) init = (typeof(&curl_easy_init))find(library, "curl_easy_init");
    typeof(&curl_easy_setopt) set = (typeof(&curl_easy_setopt))find(library, "curl_easy_setopt");
    typeof(&curl_easy_perform) perform =
        (typeof(&curl_easy_perform))find(library, "curl_easy_perform");
    typeof(&curl_easy_cleanup) cleanup =
        (typeof(&curl_easy_cleanup))find(library, "curl_easy_cleanup");
    CURL *easy = init();
    set(easy, CURLOPT_URL, url);
    set(easy, CURLOPT_WRITEFUNCTION, drop);
    printf("%d\n", (int)perform(easy));
    printf("%d\n", (int)perform(easy));
    cleanup(easy);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 3; i < argc; i++)
        if (strcmp(argv[1], "plugin") == 0)
            use_plugin(argv[i], argv[2]);
        else
            use_library(argv[i], argv[2]);
#ifdef LINKED
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, argv[2]);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    printf("%d %s\n", (int)curl_easy_perform(easy),
           strstr(curl_version(), "OpenSSL") ? "OpenSSL" : "other");
    curl_easy_cleanup(easy);
#endif
    return 0;
}

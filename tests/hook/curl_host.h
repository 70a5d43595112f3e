/* What the hosts of the libcurl tests share: transfers that print what came of them. */
#pragma once

#include <curl/curl.h>
#include <otelshim/otelshim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline size_t drop(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

/* The URL with a mark in its query, by which the test tells transfers apart. Static memory. */
static inline const char *marked(const char *url, const char *mark)
{
    static _Thread_local char text[512];
    snprintf(text, sizeof(text), "%s?%s", url, mark);
    return text;
}

static inline CURL *make(const char *url, const char *mark)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, mark ? marked(url, mark) : url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    return easy;
}

static inline void report(CURL *easy, CURLcode code)
{
    long status = -1, redirects = -1;
    curl_off_t length = -1;
    char *effective = NULL;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &effective);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &length);
    printf("%d %ld %ld %ld %s\n", (int)code, status, redirects, (long)length, effective);
}

static inline void perform(CURL *easy)
{
    report(easy, curl_easy_perform(easy));
}

/* A transfer of its own. */
static inline void get(const char *url, const char *mark)
{
    CURL *easy = make(url, mark);
    perform(easy);
    curl_easy_cleanup(easy);
}

/* The same, told only when it fails: for transfers whose order is not certain. */
static inline void get_quietly(const char *url, const char *mark)
{
    CURL *easy = make(url, mark);
    CURLcode code = curl_easy_perform(easy);
    if (code != CURLE_OK)
        printf("%s: %d\n", mark, (int)code);
    curl_easy_cleanup(easy);
}

struct mode {
    const char *name;
    void (*run)(const char *url, char **more);
};

static inline int run_mode(const struct mode *modes, size_t count, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    curl_global_init(CURL_GLOBAL_ALL);
    for (size_t i = 0; i < count; i++)
        if (argv[1] && argv[2] && strcmp(modes[i].name, argv[1]) == 0) {
            modes[i].run(argv[2], argv + 3);
            curl_global_cleanup();
            return 0;
        }
    fprintf(stderr, "no such mode\n");
    return 2;
}

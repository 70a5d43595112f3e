/* An application's keep-alive GETs through libcurl: one easy handle per thread, the URL set once,
 * then perform in a loop. What it takes is printed as "name value" lines. With -p every request
 * gets a traceparent made by hand, which is the least that sending trace context can cost. Usage:
 * curl_get [-n requests per thread] [-t threads] [-w warm-up requests] [-p] URL */
#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64

struct options {
    const char *url;
    long requests;
    long warm_up;
    int threads;
    bool by_hand;
};

struct worker {
    pthread_t thread;
    const struct options *options;
    pthread_barrier_t *start;
    uint64_t random;
    long failed;
};

static size_t drop_body(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static char *put_hex(char *out, uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[(value >> shift) & 15];
    return out;
}

static CURLcode perform_with_header(CURL *easy, uint64_t *random)
{
    char line[] = "traceparent: 00-00000000000000000000000000000000-0000000000000000-01";
    char *out = put_hex(line + sizeof("traceparent: 00-") - 1, next_random(random));
    out = put_hex(out, next_random(random));
    put_hex(out + 1, next_random(random));
    struct curl_slist *headers = curl_slist_append(NULL, line);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return code;
}

static long get(struct worker *worker, CURL *easy, long requests)
{
    long failed = 0;
    for (long i = 0; i < requests; i++) {
        CURLcode code = worker->options->by_hand ? perform_with_header(easy, &worker->random)
                                                 : curl_easy_perform(easy);
        failed += code != CURLE_OK;
    }
    return failed;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, worker->options->url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    worker->failed = get(worker, easy, worker->options->warm_up);
    if (worker->start)
        pthread_barrier_wait(worker->start);
    worker->failed += get(worker, easy, worker->options->requests);
    curl_easy_cleanup(easy);
    return NULL;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long status_kb(const char *name)
{
    char line[256];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            kb = atol(line + strlen(name));
    if (file)
        fclose(file);
    return kb;
}

static long run(const struct options *options)
{
    struct worker workers[THREADS_MAX];
    pthread_barrier_t start;
    long failed = 0;
    pthread_barrier_init(&start, NULL, (unsigned)options->threads + 1);
    for (int i = 0; i < options->threads; i++) {
        workers[i] = (struct worker){
            .options = options, .start = &start, .random = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1)};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            perror("curl_get: pthread_create");
            exit(2);
        }
    }
    pthread_barrier_wait(&start);
    double wall = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < options->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        failed += workers[i].failed;
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    pthread_barrier_destroy(&start);
    printf("requests %ld\n", (options->requests + options->warm_up) * options->threads);
    printf("measured %ld\n", options->requests * options->threads);
    printf("failed %ld\n", failed);
    printf("wall_us %.0f\n", wall * 1e6);
    printf("cpu_us %.0f\n", cpu * 1e6);
    printf("rss_kb %ld\n", status_kb("VmRSS:"));
    printf("peak_rss_kb %ld\n", status_kb("VmHWM:"));
    return failed;
}

/* The shortest program that uses libcurl: no thread, no figures. */
static long run_single(const struct options *options)
{
    struct worker worker = {.options = options, .random = 0x9e3779b97f4a7c15u};
    work(&worker);
    return worker.failed;
}

int main(int argc, char **argv)
{
    struct options options = {.requests = 1000, .threads = 0};
    int option;
    while ((option = getopt(argc, argv, "n:t:w:p")) != -1) {
        switch (option) {
        case 'n':
            options.requests = atol(optarg);
            break;
        case 't':
            options.threads = atoi(optarg);
            break;
        case 'w':
            options.warm_up = atol(optarg);
            break;
        case 'p':
            options.by_hand = true;
            break;
        default:
            optind = argc;
        }
    }
    if (optind + 1 != argc || options.threads < 0 || options.threads > THREADS_MAX) {
        fprintf(stderr, "usage: curl_get [-n requests] [-t threads] [-w warm-up] [-p] URL\n");
        return 2;
    }
    options.url = argv[optind];
    curl_global_init(CURL_GLOBAL_ALL);
    long failed = options.threads ? run(&options) : run_single(&options);
    curl_global_cleanup();
    return failed ? 1 : 0;
}

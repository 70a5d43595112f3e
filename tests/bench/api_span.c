/* Spans made through the optional API: start, six attributes, end, as fast as each thread can.
 * Prints, as "name value" lines, the nanoseconds of CPU that a span takes in the thread that makes
 * it. Links with nothing of ours; exit code 1 when the library is not there. Usage: api_span [-n
 * spans per thread] [-t threads] */
#include "otelshim/otelshim.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define BURST       1000

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    long spans;
    long pause_us;
    double cpu_ns;
};

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void make_span(long number)
{
    struct otelshim_span span = otelshim_span_start("checkout", OTELSHIM_INTERNAL);
    otelshim_span_set_string(span, "http.request.method", "GET");
    otelshim_span_set_string(span, "url.full", "http://shop.example.com/checkout/basket");
    otelshim_span_set_string(span, "server.address", "shop.example.com");
    otelshim_span_set_int(span, "server.port", 8080);
    otelshim_span_set_int(span, "http.response.status_code", 200);
    otelshim_span_set_int(span, "shop.order", number);
    otelshim_span_end(span);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    double begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < worker->spans; i++) {
        make_span(i);
        if (worker->pause_us && i % BURST == BURST - 1)
            usleep((useconds_t)worker->pause_us);
    }
    worker->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
    return NULL;
}

int main(int argc, char **argv)
{
    struct worker workers[THREADS_MAX];
    long spans = 100000;
    long pause_us = 0;
    int threads = 1;
    int option;
    while ((option = getopt(argc, argv, "n:t:p:")) != -1) {
        if (option == 'n')
            spans = atol(optarg);
        else if (option == 't')
            threads = atoi(optarg);
        else if (option == 'p')
            pause_us = atol(optarg);
        else
            return 2;
    }
    if (spans < 1 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: api_span [-n spans per thread] [-t threads] [-p microseconds]\n");
        return 2;
    }
    if (!otelshim_is_present()) {
        fprintf(stderr, "api_span: libotelshim.so is not preloaded\n");
        return 1;
    }
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    double begin = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < threads; i++) {
        workers[i] = (struct worker){.start = &start, .spans = spans, .pause_us = pause_us};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            perror("api_span: pthread_create");
            return 1;
        }
    }
    double cpu_ns = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        cpu_ns += workers[i].cpu_ns;
    }
    double wall_ns = clock_ns(CLOCK_MONOTONIC) - begin;
    pthread_barrier_destroy(&start);
    printf("spans %ld\n", spans * threads);
    printf("thread_ns %.1f\n", cpu_ns / (double)(spans * threads));
    printf("wall_us %.0f\n", wall_ns / 1e3);
    return 0;
}

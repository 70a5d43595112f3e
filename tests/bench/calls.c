/* What a preload adds to calls that every program makes: nanoseconds per dlsym and per thread made
 * and joined, as "name value" lines. Makes no span. Usage: calls [dlsym calls] [threads] */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *nothing(void *argument)
{
    return argument;
}

int main(int argc, char **argv)
{
    long calls = argc > 1 ? atol(argv[1]) : 1000000;
    long threads = argc > 2 ? atol(argv[2]) : 20000;
    double begin = now_ns();
    for (long i = 0; i < calls; i++)
        if (!dlsym(RTLD_DEFAULT, "strtol"))
            return 1;
    printf("dlsym_ns %.1f\n", (now_ns() - begin) / (double)calls);
    begin = now_ns();
    for (long i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
            return 1;
    }
    printf("thread_ns %.1f\n", (now_ns() - begin) / (double)threads);
    return 0;
}

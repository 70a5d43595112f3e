/* Whether the environment sends a request through a proxy, by libcurl's rules. Exporter thread
 * only. */
#pragma once

#include "base/url.h"

/* http_proxy (lower case only), https_proxy, all_proxy and no_proxy, the latter three in either
 * case. Never for this machine: a loopback address means another one to the proxy. */
bool shim_proxy_applies(const struct shim_url *url);

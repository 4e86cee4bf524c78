#include "LeakCheck.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if __has_feature(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
void leak_check_pause(void) { __lsan_disable(); }
void leak_check_resume(void) { __lsan_enable(); }
#else
void leak_check_pause(void) {}
void leak_check_resume(void) {}
#endif

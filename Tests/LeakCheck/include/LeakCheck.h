// Tells the leak check of the address sanitizer what is meant to leak. In other builds nothing happens.
#ifndef LEAK_CHECK_H
#define LEAK_CHECK_H
/// What this thread allocates from here on may leak, until as many calls of `leak_check_resume`.
void leak_check_pause(void);
void leak_check_resume(void);
#endif

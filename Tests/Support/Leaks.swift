internal import LeakCheck

/// Runs something in simulation that leaves memory behind and is meant to: tasks that wait for ever are never freed, nor
/// is what a device still holds. The leak check of the address sanitizer does not look at it.
package func leaving<R>(_ reason: StaticString, _ body: () throws -> R) rethrows -> R {
  leak_check_pause()
  defer { leak_check_resume() }
  return try body()
}

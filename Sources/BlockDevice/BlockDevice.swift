public import Reactor

/// Whoever a device reports completions to: its queue, or the layer above it.
public protocol CompletionSink: AnyObject {
  /// The device has let go of `request`. `result` is the count of bytes done, or a negative errno.
  func completed(_ request: Request, result: Int)
}

/// A device that serves requests: a file through libaio, memory, nothing, or a simulated disk; or a layer around one.
///
/// A request queue stands before every device and gives it only requests inside its geometry, each with a tag, at most
/// as many at once as there are tags. Each started request is reported to the sink exactly once. Confined to a reactor.
public protocol BlockDevice: AnyObject {
  /// What the device is made of.
  var geometry: Geometry { get }
  /// Who is told of completions.
  var sink: (any CompletionSink)? { get set }
  /// Prepares for a queue on `reactor` with that many tags: all memory is taken here.
  func attach(to reactor: Reactor, tagCount: Int) throws(DeviceError)
  /// Takes a request. The system call may wait for `submit`.
  func start(_ request: Request)
  /// Hands what was started to whoever serves it, in one system call. What is not taken yet stays.
  func submit()
  /// Whether started requests wait for another `submit`.
  var hasUnsubmitted: Bool { get }
  /// Reports the completions there are. Returns whether there were any.
  func reap() -> Bool
  /// As `reap`, but sleeps until there is at least one. Only for polled use, with requests in flight.
  func waitForCompletion()
  /// What it has asked of the operating system.
  var hostCalls: HostCalls { get }
  /// Gives back what `attach` took. Nothing is in flight.
  func close()
}

extension BlockDevice {
  public var hasUnsubmitted: Bool { false }
  public func waitForCompletion() { _ = reap() }
  public var hostCalls: HostCalls { HostCalls() }
  public func close() {}
}

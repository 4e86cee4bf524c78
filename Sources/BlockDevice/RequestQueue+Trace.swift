internal import Reactor

extension RequestQueue {
  /// Tells whoever draws it that the device has got a request, with those that were merged into it.
  func traceBegin(_ request: Request, tag: Int) {
    guard let onTrace = reactor.onTrace else { return }
    var count = 0
    request.forEachMerged { _ in count += 1 }
    let place = request.operation == .flush ? "" : " \(request.remainingByteCount) at \(request.offset)"
    onTrace(
      TraceEvent(
        .request, .begin, UInt64(tag), "\(request.operation)\(place)",
        details: [
          "owner": "\(request.owner)", "data": "\(request.isFileData)", "fua": "\(request.isFUA)", "merged": "\(count)",
        ]))
  }

  func traceEnd(tag: Int, result: Int) {
    reactor.onTrace?(TraceEvent(.request, .end, UInt64(tag), details: ["result": "\(result)"]))
  }
}

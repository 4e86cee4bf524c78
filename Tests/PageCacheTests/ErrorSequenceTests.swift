import BlockDevice
import PageCache
import Testing

@Suite("Error sequence")
struct ErrorSequenceTests {
  static let error = PageCacheError.unmapped(owner: 1, page: PageIndex(2))

  @Test("every opener at the time of an error sees it exactly once")
  func once() {
    var errors = ErrorSequence()
    var cursors = (0..<3).map { _ in errors.sample() }
    errors.record(Self.error)
    for index in cursors.indices {
      #expect(errors.check(&cursors[index]) != nil)
      #expect(errors.check(&cursors[index]) == nil)
    }
  }

  @Test("an error nobody has seen is seen by the next opener, and only by that one")
  func unseen() {
    var errors = ErrorSequence()
    errors.record(Self.error)
    #expect(errors.hasUnseen)
    var first = errors.sample()
    #expect(errors.check(&first) != nil)
    #expect(!errors.hasUnseen)
    var second = errors.sample()
    #expect(errors.check(&second) == nil)
  }

  @Test("several errors between two checks are one report, the latest")
  func several() {
    var errors = ErrorSequence()
    var cursor = errors.sample()
    errors.record(.unmapped(owner: 1, page: PageIndex(1)))
    errors.record(.unmapped(owner: 1, page: PageIndex(2)))
    guard case .unmapped(_, let page)? = errors.check(&cursor) else {
      Issue.record("no error was reported")
      return
    }
    #expect(page == PageIndex(2))
    #expect(errors.check(&cursor) == nil)
    errors.record(Self.error)
    #expect(errors.check(&cursor) != nil)
  }
}

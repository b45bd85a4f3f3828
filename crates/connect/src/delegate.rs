//! Reading from and writing to whichever of several streams there is: written once for all enums.

/// Implements `AsyncRead` and `AsyncWrite` for an enum by what its variants hold. Errors of a variant
/// go through the function behind it.
#[macro_export]
macro_rules! delegate_io {
    ($name:ty { $($variant:ident => $error:expr),+ $(,)? }) => {
        impl $crate::io::AsyncRead for $name {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
                buffer: &mut $crate::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => {
                        ::std::pin::Pin::new(stream).poll_read(context, buffer).map_err($error)
                    })+
                }
            }
        }

        impl $crate::io::AsyncWrite for $name {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
                bytes: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => {
                        ::std::pin::Pin::new(stream).poll_write(context, bytes).map_err($error)
                    })+
                }
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
                slices: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => {
                        let stream = ::std::pin::Pin::new(stream);
                        stream.poll_write_vectored(context, slices).map_err($error)
                    })+
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    $(Self::$variant(stream) => stream.is_write_vectored()),+
                }
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => {
                        ::std::pin::Pin::new(stream).poll_flush(context).map_err($error)
                    })+
                }
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                context: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                match self.get_mut() {
                    $(Self::$variant(stream) => {
                        ::std::pin::Pin::new(stream).poll_shutdown(context).map_err($error)
                    })+
                }
            }
        }
    };
}
